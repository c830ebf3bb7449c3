"""Downloads: resumable HTTP, files out of packages of the package index, the public archives."""
