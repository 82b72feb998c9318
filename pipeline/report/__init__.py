"""What people look at: pictures of samples."""
