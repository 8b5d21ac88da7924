#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/block/image/disk_image.h"
#include "backend/block/image/host_file.h"

namespace mynah {

// Opens or makes a file beside the image, by a name without any directory.
using VmdkSibling = std::function<Result<std::unique_ptr<HostFile>>(const std::string& name)>;

struct VmdkCreateOptions {
    uint64_t size = 0;
    std::string name;       // the image's own, without its directory
    std::string subformat;  // as VMware has it: "monolithicSparse"
    std::string adapter = "ide";
};

// Opens a VMDK image [VMDK]: a sparse extent with its descriptor in it, or a descriptor that names
// extents, sparse and flat, in files beside it. Not modelled: delta links (parents), which are
// refused.
Result<std::unique_ptr<DiskImage>> open_vmdk(std::unique_ptr<ImageFile> file,
                                             const VmdkSibling& sibling);
Result<void> create_vmdk(ImageFile& file, const VmdkCreateOptions& options,
                         const VmdkSibling& sibling);

// A disk of several extents, one behind the other.
class VmdkImage final : public DiskImage {
  public:
    struct Extent {
        uint64_t start = 0, size = 0;  // bytes on the disk
        std::unique_ptr<DiskImage> image;  // null: zeroes
        uint64_t offset = 0;               // where in the image it begins
        bool read_only = false;
    };
    VmdkImage(std::unique_ptr<ImageFile> descriptor, std::string subformat,
              std::vector<Extent> extents, uint64_t size);

    const char* format() const override { return "vmdk"; }
    ImageFile& file() const override { return *descriptor_; }
    // If any part is.
    bool read_only() const override;
    uint64_t cluster_size() const override;
    std::vector<std::pair<std::string, std::string>> details() const override;
    BlockStatus map(uint64_t offset, uint64_t size, ImageExtent& extent) override;
    BlockStatus read_encoded(uint64_t offset, std::span<std::byte> to) override;
    BlockStatus write(uint64_t offset, std::span<const std::byte> from) override;
    BlockStatus flush() override;
    bool has_unwritten_tables() const override;
    bool can_check() const override { return true; }
    CheckReport check(Repair repair) override;

  private:
    Extent& at(uint64_t offset);

    const std::unique_ptr<ImageFile> descriptor_;
    const std::string subformat_;
    std::vector<Extent> extents_;
};

}  // namespace mynah
