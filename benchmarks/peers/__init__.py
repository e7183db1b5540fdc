"Each peer as its own users would write it, in a file of its own with a function `train(work)`"
