#include "testing/image_kinds.h"

#include "backend/block/qcow2/qcow2_image.h"
#include "backend/block/vdi/vdi_image.h"
#include "backend/block/vhd/vhd_image.h"
#include "backend/block/vhdx/vhdx_image.h"
#include "backend/block/vmdk/vmdk_sparse.h"

namespace mynah::testing {
namespace {

template <typename Image>
Result<std::unique_ptr<DiskImage>> as_disk(Result<std::unique_ptr<Image>> image) {
    if (!image) return Error(image.error());
    return std::unique_ptr<DiskImage>(image.take_value());
}

ImageKind qcow2(const char* name, std::function<void(Qcow2CreateOptions&)> change) {
    return {name,
            [change](ImageFile& file, uint64_t size) {
                Qcow2CreateOptions options;
                options.size = size;
                options.cluster_size = 4096;
                change(options);
                return Qcow2Image::create(file, options);
            },
            [](std::unique_ptr<ImageFile> file) {
                return as_disk(Qcow2Image::open(std::move(file), {}));
            },
            true, false, false};
}

}  // namespace

std::vector<ImageKind> image_kinds() {
    std::vector<ImageKind> all;
    all.push_back(qcow2("Qcow2", [](auto&) {}));
    all.push_back(qcow2("Qcow2Version2", [](auto& options) { options.version = 2; }));
    all.push_back(qcow2("Qcow2TinyClusters", [](auto& options) { options.cluster_size = 512; }));
    all.push_back(qcow2("Qcow2NarrowCounts", [](auto& options) { options.refcount_bits = 1; }));
    all.push_back(qcow2("Qcow2WideCounts", [](auto& options) {
        options.cluster_size = 512;
        options.refcount_bits = 64;
    }));
    all.push_back(qcow2("Qcow2Subclusters", [](auto& options) {
        options.cluster_size = 16384;
        options.extended_l2 = true;
    }));
    all.push_back(qcow2("Qcow2Snapshots", [](auto&) {}));
    all.back().snapshots = true;
    all.push_back(qcow2("Qcow2Resizes", [](auto& options) { options.cluster_size = 512; }));
    all.back().resizes = true;
    all.push_back({"Vdi", [](ImageFile& file, uint64_t size) { return VdiImage::create(file, size, false); },
                   [](auto file) { return as_disk(VdiImage::open(std::move(file))); }});
    all.push_back({"Vhd", [](ImageFile& file, uint64_t size) { return create_vhd(file, {size, false, {}, {}}); },
                   [](auto file) { return open_vhd(std::move(file)); }});
    all.push_back({"Vhdx",
                   [](ImageFile& file, uint64_t size) {
                       VhdxCreateOptions options;
                       options.size = size;
                       options.block_size = 1 << 20;
                       return VhdxImage::create(file, options);
                   },
                   [](auto file) { return as_disk(VhdxImage::open(std::move(file))); }});
    all.push_back({"Vmdk",
                   [](ImageFile& file, uint64_t size) {
                       return VmdkSparseExtent::create(file, {size, false, ""});
                   },
                   [](auto file) { return as_disk(VmdkSparseExtent::open(std::move(file))); }});
    return all;
}

}  // namespace mynah::testing
