#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "backend/block/block_backend.h"
#include "base/result.h"
#include "memory/slice_list.h"

// Returns from the enclosing function if a BlockStatus is not kOk.
#define TRY_BLOCK(expression)                                                    \
    do {                                                                         \
        if (const ::mynah::BlockStatus try_status_ = (expression);               \
            try_status_ != ::mynah::BlockStatus::kOk)                            \
            return try_status_;                                                  \
    } while (false)

namespace mynah {

// The bytes that an image consists of: a file of the host, or a fake of one that forgets what was
// not flushed. Calls do their work before they return.
//
// Who validates what: the format above makes sure that an offset taken from the image is one it
// may use. The file answers for any offset: reading beyond the end gives zeroes (images are often
// cut off inside their last cluster), writing beyond it grows the file.
//
// Order: what flush() was not called after may be lost in a crash, piece by piece in any order.
class ImageFile {
  public:
    virtual ~ImageFile() = default;
    virtual const std::string& name() const = 0;  // for messages
    virtual bool read_only() const = 0;
    virtual uint64_t size() const = 0;  // bytes now
    // Any thread, several at once.
    virtual BlockStatus read(uint64_t offset, std::span<const Slice> to) = 0;
    virtual BlockStatus write(uint64_t offset, std::span<const Slice> from) = 0;
    virtual BlockStatus flush() = 0;
    // The range's content does not matter any more; it may give its storage back.
    virtual BlockStatus discard(uint64_t offset, uint64_t size) = 0;
    // May grow the file.
    virtual BlockStatus write_zeroes(uint64_t offset, uint64_t size, bool may_unmap) = 0;
    virtual BlockStatus truncate(uint64_t size) = 0;

    BlockStatus read_bytes(uint64_t offset, std::span<std::byte> to) {
        const Slice slice(to);
        return read(offset, std::span(&slice, 1));
    }
    BlockStatus write_bytes(uint64_t offset, std::span<const std::byte> from) {
        // Nobody writes through it.
        const Slice slice(const_cast<std::byte*>(from.data()), from.size());
        return write(offset, std::span(&slice, 1));
    }
};

// "NAME: cannot be WHAT: why" for people who gave the command.
Error image_error(const ImageFile& file, std::string_view text);
Error image_error(const ImageFile& file, std::string_view what, BlockStatus status);
const char* describe(BlockStatus status);
// For calls made while images are opened and made: an Error instead of a status.
Result<void> expect_ok(const ImageFile& file, std::string_view what, BlockStatus status);

}  // namespace mynah
