#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// A whole file in host memory.
class FileContent {
  public:
    FileContent() = default;
    FileContent(std::unique_ptr<std::byte[]> data, size_t size)
        : data_(std::move(data)), size_(size) {}
    std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

  private:
    std::unique_ptr<std::byte[]> data_;
    size_t size_ = 0;
};

// A regular file the operator named, open for reading: a kernel, an initrd. It stays open, so that
// what is read again for a reboot is the same file even if its name is gone.
class InputFile {
  public:
    // `origin` is how the operator named it, "--kernel FILE", and begins messages.
    // Error: missing, not readable, no regular file, or larger than `limit` bytes.
    static Result<InputFile> open(const std::string& path, std::string origin, uint64_t limit);

    const std::string& origin() const { return origin_; }
    Result<FileContent> read() const;

  private:
    InputFile(Fd fd, std::string origin, uint64_t limit)
        : fd_(std::move(fd)), origin_(std::move(origin)), limit_(limit) {}
    Result<uint64_t> size() const;

    Fd fd_;
    std::string origin_;
    uint64_t limit_;
};

}  // namespace mynah
