"""From manifest to packed training data: pairs, masks, keypoints, cut-outs, pack."""
