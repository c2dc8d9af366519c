"""What a network makes of pictures: probabilities over one or more crops, and all figures that follow from them."""
