"""What goes over the wire: requests as they are accepted, answers as they are given. Storage never leaks."""
