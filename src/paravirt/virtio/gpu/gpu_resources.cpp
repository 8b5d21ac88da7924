#include "paravirt/virtio/gpu/gpu_resources.h"

#include <algorithm>

#include "paravirt/virtio/gpu/gpu_format.h"

namespace mynah {

using virtio::gpu::kPixelBytes;

bool GpuPicture::lies_in(uint64_t bytes) const {
    if (width == 0 || height == 0 || width > GpuResources::kSideMost ||
        height > GpuResources::kSideMost || !is_gpu_format(format)) {
        return false;
    }
    const uint64_t row = uint64_t{width} * kPixelBytes;
    const uint64_t size = uint64_t{stride} * (height - 1) + row;
    return stride >= row && offset <= bytes && size <= bytes - offset;
}

bool GpuResources::charge(uint64_t bytes) {
    if (bytes > kBytesMost - bytes_) return false;
    bytes_ += bytes;
    return true;
}

GpuResources::Made GpuResources::create(uint32_t number, uint32_t format, uint32_t width,
                                        uint32_t height) {
    if (number == 0 || resources_.contains(number)) return Made::kBadNumber;
    if (!is_gpu_format(format) || width == 0 || height == 0 || width > kSideMost ||
        height > kSideMost) {
        return Made::kBadValue;
    }
    const uint64_t size = uint64_t{width} * height * kPixelBytes;
    if (resources_.size() == kMost || !charge(size)) return Made::kNoRoom;
    GpuResource resource;
    resource.format = format;
    resource.width = width;
    resource.height = height;
    resource.pixels.resize(size);
    resources_.emplace(number, std::move(resource));
    return Made::kYes;
}

GpuResources::Made GpuResources::create_blob(uint32_t number, uint64_t size, GpuBacking backing) {
    if (number == 0 || resources_.contains(number)) return Made::kBadNumber;
    if (size == 0 || size > backing.size()) return Made::kBadValue;
    if (resources_.size() == kMost || !charge(backing.host_bytes())) return Made::kNoRoom;
    GpuResource resource;
    resource.blob = true;
    resource.blob_size = size;
    resource.backing = std::move(backing);
    resources_.emplace(number, std::move(resource));
    return Made::kYes;
}

GpuResource* GpuResources::find(uint32_t number) {
    const auto found = resources_.find(number);
    return found == resources_.end() ? nullptr : &found->second;
}

bool GpuResources::remove(uint32_t number) {
    const auto found = resources_.find(number);
    if (found == resources_.end()) return false;
    detach(found->second);
    bytes_ -= found->second.pixels.size();
    resources_.erase(found);
    return true;
}

bool GpuResources::attach(GpuResource& resource, GpuBacking backing) {
    if (!charge(backing.host_bytes())) return false;
    resource.backing = std::move(backing);
    return true;
}

void GpuResources::detach(GpuResource& resource) {
    if (!resource.backing) return;
    bytes_ -= resource.backing->host_bytes();
    resource.backing.reset();
}

void GpuResources::clear() {
    resources_.clear();
    bytes_ = 0;
}

void read_gpu_row(const GpuResource& resource, const GpuPicture& picture, const DmaView& memory,
                  uint32_t x, uint32_t y, std::vector<std::byte>& bytes, std::span<uint32_t> to) {
    const uint64_t at = picture.offset + uint64_t{picture.stride} * y + uint64_t{x} * kPixelBytes;
    const uint64_t size = to.size() * kPixelBytes;
    if (!resource.blob) {
        read_gpu_pixels(picture.format, std::span(resource.pixels).subspan(at, size), to);
        return;
    }
    bytes.resize(std::max<size_t>(bytes.size(), size));
    const std::span<std::byte> row = std::span(bytes).first(size);
    if (resource.backing && resource.backing->read(memory, at, row)) {
        read_gpu_pixels(picture.format, row, to);
    } else {
        std::ranges::fill(to, 0);  // the guest took the memory away
    }
}

}  // namespace mynah
