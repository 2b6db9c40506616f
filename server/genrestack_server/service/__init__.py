"""The life of a call, whatever transport it came by: bytes and messages in, messages out."""
