"""Writers: what the stages made of a data folder, in the formats and layouts that other trainers and tools read."""
