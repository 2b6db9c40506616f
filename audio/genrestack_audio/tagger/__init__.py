"""The outputs of a pre-trained music tagger, musicnn, as features of a recording."""
