"""Light curves: what varies, and how it is observed."""
