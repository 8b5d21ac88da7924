#pragma once

#include <string>

#include "base/result.h"

namespace mynah {

// What an opener of a disk image does with it, and so what nobody else may do meanwhile.
enum class ImageUse : uint8_t {
    kRead,   // reads; nobody may write
    kWrite,  // reads and writes; nobody else may use it
};

// Advisory locks on a file that is a disk, in QEMU's layout, so that two machines, or Mynah and
// QEMU's programs, do not use one disk [qemu block/file-posix, "locking"]: a read lock of the byte
// 100+n says "I do n", of the byte 200+n "nobody else may do n"; n is 0 read, 1 write, 3 resize.
// They are locks of the open file description: they hold between processes and between two
// openings within one, and go when the descriptor is closed.
//
// Error: a clause for people, without the path. On file systems without locks there are none:
// ok, with a warning that names `path`.
Result<void> lock_image_file(int fd, ImageUse use, const std::string& path);

}  // namespace mynah
