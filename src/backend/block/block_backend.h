#pragma once

#include <cstdint>
#include <span>

#include "memory/slice_list.h"

namespace mynah {

enum class BlockOperation : uint8_t { kRead, kWrite, kFlush, kDiscard, kWriteZeroes };

enum class BlockStatus : uint8_t {
    kOk,
    kIoError,      // the host failed, or the range is not there
    kNoSpace,      // the host has no room for what was written
    kReadOnly,     // would change a read-only disk
    kUnsupported,  // this backend cannot do the operation at all
};

struct BlockRequest;

// Told when a request is over. On the submitting thread within submit(), or on any other thread;
// the backend holds no lock. The request is the submitter's again from the call on.
class BlockCompletion {
  public:
    virtual ~BlockCompletion() = default;
    virtual void block_done(BlockRequest& request, BlockStatus status) = 0;
};

// One piece of work for a disk. Owned by the submitter, who leaves it alone until it is done.
struct BlockRequest {
    BlockOperation operation = BlockOperation::kRead;
    uint64_t offset = 0;            // bytes from the start of the disk; kFlush ignores it
    uint64_t size = 0;              // bytes; for kRead and kWrite the sum of the slices
    bool durable = false;           // kWrite, kWriteZeroes: on the medium before it is done
    bool may_unmap = false;         // kWriteZeroes: the range may lose its storage
    std::span<const Slice> slices;  // kRead fills them, kWrite takes from them
    BlockCompletion* completion = nullptr;
};

// What a backend can do; constant while it lives unless said otherwise.
struct BlockGeometry {
    uint64_t size = 0;                   // bytes, a multiple of 512
    uint32_t logical_block_size = 512;   // bytes; offsets and sizes are multiples of it
    uint32_t physical_block_size = 512;  // bytes; smaller writes are slower or less safe
    bool read_only = false;
    bool can_discard = false;
    bool can_write_zeroes = false;
    uint64_t discard_alignment = 512;    // bytes; smaller or odd discards do nothing
    uint64_t max_discard_size = 0;       // bytes of one request
    uint64_t max_write_zeroes_size = 0;  // bytes of one request
};

// The host side of a disk, whatever the disk is to the guest. Formats and layers are backends over
// backends.
//
// Who validates what: the device makes sure that offset and size are multiples of
// logical_block_size, that offset+size does not exceed the disk (nor overflow), and that discards
// and zeroings do not exceed the limits. The backend checks the range and read_only once more and
// answers kIoError or kReadOnly, since a mistake there would harm the host's data. Contents are
// nobody's to check.
//
// Order: requests in flight together may be done in any order. kFlush makes durable what was
// *done* before the flush was submitted, nothing more.
class BlockBackend {
  public:
    // Waits until nothing is in flight.
    virtual ~BlockBackend() = default;
    virtual const BlockGeometry& geometry() const = 0;
    // Any thread, several at once. Calls request.completion exactly once.
    virtual void submit(BlockRequest& request) = 0;
};

}  // namespace mynah
