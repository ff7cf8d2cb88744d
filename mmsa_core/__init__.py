"""Multimodal sentiment analysis when modalities go missing."""
