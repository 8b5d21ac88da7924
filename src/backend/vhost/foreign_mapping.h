#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// A part of a file that another process gave. That it shrinks the file afterwards is survived
// (memory/fault_guard.h).
class ForeignMapping {
  public:
    // The offset need not be that of a page. Error: the part is empty or beyond the end of the
    // file, or the host refuses; a clause without what it is.
    static Result<std::unique_ptr<ForeignMapping>> map(Fd fd, uint64_t offset, uint64_t size);
    ~ForeignMapping();
    ForeignMapping(const ForeignMapping&) = delete;
    ForeignMapping& operator=(const ForeignMapping&) = delete;

    int fd() const { return fd_.get(); }
    uint64_t offset() const { return offset_; }
    std::span<std::byte> bytes() const { return {base_ + ahead_, size_}; }

  private:
    ForeignMapping(Fd fd, std::byte* base, uint64_t offset, uint64_t ahead, uint64_t size)
        : fd_(std::move(fd)), base_(base), offset_(offset), ahead_(ahead), size_(size) {}

    Fd fd_;
    std::byte* const base_;
    const uint64_t offset_, ahead_, size_;  // ahead: bytes of the first page before the part
};

}  // namespace mynah
