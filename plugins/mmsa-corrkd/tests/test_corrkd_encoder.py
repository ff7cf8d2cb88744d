from mmsa_corrkd.encoder import CorrKDEncoder

from mmsa_core import testing


def test_sizes_of_the_paper():
    config = CorrKDEncoder.Config()
    assert (config.kernel, config.heads, config.layers) == (3, 10, 4)
    encoder = CorrKDEncoder(config, testing.context(testing.batch(1), dim=40), "text")
    assert encoder.convolution.kernel_size == (3,)
    assert len(encoder.layers.layers) == 4


def test_conforms():
    testing.check_encoder(CorrKDEncoder, CorrKDEncoder.Config(layers=2), dim=40)
