#pragma once

#include "base/result.h"
#include "firmware/boot_files.h"

namespace mynah {

// Whether an initrd is something Linux can take [linux-initramfs]: cpio archives, compressed or
// not, one behind the other, or a file-system image; and whether it is all there. A guest would
// panic on a bad one, minutes later and with a less clear message. Error: foreign or truncated.
// Compressed data is checked for completeness, not for content.
Result<void> check_initrd(const BootFile& initrd);

}  // namespace mynah
