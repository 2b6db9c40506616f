"""Front end of the Open Inference Protocol: translates messages, decides nothing."""
