"""CelebA fetched and unpacked, drawn faces, faces of photographs, packs, checks of a folder."""
