#pragma once

#include <cstddef>
#include <memory>

#include "base/result.h"

namespace mynah::translator {

// Memory for emitted code, mapped twice: once to write, once to execute, never both at one address.
class CodeMemory {
  public:
    // size: bytes, rounded up to whole pages. Error: the host refuses such a mapping.
    static Result<std::unique_ptr<CodeMemory>> create(size_t size);
    ~CodeMemory();
    CodeMemory(const CodeMemory&) = delete;
    CodeMemory& operator=(const CodeMemory&) = delete;

    size_t size() const { return size_; }
    std::byte* write_at(size_t offset) const { return write_ + offset; }
    const std::byte* execute_at(size_t offset) const { return execute_ + offset; }
    // The writable address of executable code.
    std::byte* writable(const std::byte* executed) const { return write_ + (executed - execute_); }
    bool contains(const void* executed) const {
        return executed >= execute_ && executed < execute_ + size_;
    }
    // Gives pages of [from, size) back to the host.
    void discard(size_t from);

  private:
    CodeMemory(size_t size, std::byte* write, std::byte* execute)
        : size_(size), write_(write), execute_(execute) {}

    const size_t size_;
    std::byte* const write_;
    std::byte* const execute_;
};

}  // namespace mynah::translator
