#pragma once

#include <memory>
#include <vector>

#include "backend/block/image/block_table_image.h"
#include "backend/block/vhd/vhd_format.h"

namespace mynah {

struct VhdCreateOptions {
    uint64_t size = 0;
    bool fixed = false;
    std::optional<BackingReference> backing;  // makes it differencing; needs the id of that image
    std::array<std::byte, 16> parent_id{};
};

// Opens a VHD image of any type [VHD]: the footer says which.
Result<std::unique_ptr<DiskImage>> open_vhd(std::unique_ptr<ImageFile> file);
Result<void> create_vhd(ImageFile& file, const VhdCreateOptions& options);

// Fixed: the disk as it is, and a footer behind it.
class FixedVhdImage final : public DiskImage {
  public:
    FixedVhdImage(std::unique_ptr<ImageFile> file, const VhdFooter& footer)
        : DiskImage(footer.size), file_(std::move(file)), footer_(footer) {}
    const char* format() const override { return "vhd"; }
    ImageFile& file() const override { return *file_; }
    BlockStatus map(uint64_t offset, uint64_t size, ImageExtent& extent) override;
    BlockStatus write(uint64_t offset, std::span<const std::byte> from) override {
        return file_->write_bytes(offset, from);
    }
    BlockStatus flush() override { return file_->flush(); }
    bool has_unwritten_tables() const override { return false; }
    Result<void> resize(uint64_t new_size) override;
    std::string content_id() const override;

  private:
    const std::unique_ptr<ImageFile> file_;
    VhdFooter footer_;
};

// Dynamic and differencing. A block has a bitmap before it, of the sectors that are there: what is
// not comes from the backing image.
class VhdImage final : public BlockTableImage {
  public:
    VhdImage(std::unique_ptr<ImageFile> file, const VhdFooter& footer,
             const VhdDynamicHeader& header);
    ~VhdImage() override;
    Result<void> load();

    const char* format() const override { return "vhd"; }
    std::vector<std::pair<std::string, std::string>> details() const override;
    std::optional<BackingReference> backing_reference() const override;
    Result<void> check_backing(DiskImage& backing) override;
    std::string content_id() const override;
    bool can_check() const override { return true; }
    CheckReport check(Repair repair) override;

  private:
    BlockStatus find_block(uint64_t block, Place& place) override;
    BlockStatus allocate_block(uint64_t& offset) override;
    BlockStatus link_block(uint64_t block, uint64_t offset) override;
    BlockStatus write_tables() override;
    BlockStatus map_partial(const Place& place, uint64_t block, uint64_t within, uint64_t size,
                            ImageExtent& extent) override;
    bool differencing() const { return footer_.type == VhdFooter::Type::kDifferencing; }

    const VhdFooter footer_;
    const VhdDynamicHeader header_;
    const uint64_t bitmap_bytes_;
    std::vector<uint32_t> table_;      // sectors where blocks with their bitmaps begin
    std::vector<bool> full_;           // differencing: known to have all its sectors
    std::string parent_;
    uint64_t end_ = 0;                 // of the last block; the footer is there
    size_t changed_first_ = SIZE_MAX, changed_end_ = 0;
    std::vector<uint64_t> new_bitmaps_;  // places of bitmaps that become all ones
};

}  // namespace mynah
