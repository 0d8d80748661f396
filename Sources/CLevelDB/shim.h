// Debian's libleveldb-dev, its C face.
#include <leveldb/c.h>
