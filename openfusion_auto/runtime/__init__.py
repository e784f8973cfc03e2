"""Between core and the wire: runs a request, keeps live state, records traces."""
