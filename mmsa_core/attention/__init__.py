"""Building blocks for models of the Multimodal Transformer's family, core's and plugins' alike."""
