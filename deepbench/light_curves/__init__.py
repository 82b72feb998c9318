"""Light curves: what varies, and how surveys see it."""
