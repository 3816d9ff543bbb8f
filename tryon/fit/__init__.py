"""Commands that train the small keypoint and segmentation models on a data folder."""
