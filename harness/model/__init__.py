"""The network: ConvLSTM layers (`cell`) in an encoder-forecaster with named slots (`forecaster`)."""
