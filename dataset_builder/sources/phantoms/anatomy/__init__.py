"""What the bodies look like inside: the torso, part by part, and the knee."""
