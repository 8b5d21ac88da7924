#pragma once

#include <memory>

#include "backend/block/image/disk_image.h"

namespace mynah {

// A file whose bytes are the disk, as a layer of a chain or for `mynah image`. (A machine's raw
// disk is a RawFile.) A size that is no multiple of 512 is rounded up, the rest reads as zeroes.
class RawImage final : public DiskImage {
  public:
    explicit RawImage(std::unique_ptr<ImageFile> file);

    const char* format() const override { return "raw"; }
    ImageFile& file() const override { return *file_; }
    BlockStatus map(uint64_t offset, uint64_t size, ImageExtent& extent) override;
    BlockStatus write(uint64_t offset, std::span<const std::byte> from) override;
    BlockStatus write_zeroes(uint64_t offset, uint64_t size, bool may_unmap) override;
    BlockStatus discard(uint64_t offset, uint64_t size) override;
    BlockStatus flush() override { return file_->flush(); }
    bool has_unwritten_tables() const override { return false; }
    Result<void> resize(uint64_t new_size) override;

  private:
    const std::unique_ptr<ImageFile> file_;
};

}  // namespace mynah
