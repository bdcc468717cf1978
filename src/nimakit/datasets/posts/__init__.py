"""Import of rated posts: download of their images, and recognition of the ratings in their texts."""
