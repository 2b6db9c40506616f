"""The network around a server: certificates, frames by hand, namespaces, and programs that read what servers tell."""
