"""CelebA fetched and unpacked, drawn faces, packs, checks of a folder."""
