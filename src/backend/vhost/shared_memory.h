#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// Memory that another process can map, zero to begin with. Its size is sealed: a process that was
// given the descriptor cannot shrink it under our feet.
class SharedMemory {
  public:
    // `name` shows in /proc. Error: a clause.
    static Result<std::unique_ptr<SharedMemory>> create(const char* name, uint64_t size);
    ~SharedMemory();
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;

    int fd() const { return fd_.get(); }
    std::span<std::byte> bytes() const { return {base_, size_}; }

  private:
    SharedMemory(Fd fd, std::byte* base, uint64_t size)
        : fd_(std::move(fd)), base_(base), size_(size) {}

    Fd fd_;
    std::byte* const base_;
    const uint64_t size_;
};

// Seals a memfd against shrinking and growing, and against further seals. Holes can still be
// punched.
Result<void> seal_size(int fd);

}  // namespace mynah
