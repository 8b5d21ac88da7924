#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "memory/dma_view.h"
#include "paravirt/virtio/gpu/gpu_backing.h"

namespace mynah {

// Pixels a driver may show [virtio-1.2 5.7.6.1]: kept here and filled by transfers, or, of a blob,
// left in the guest's memory.
struct GpuResource {
    bool blob = false;
    uint32_t format = 0, width = 0, height = 0;  // not of a blob
    uint64_t blob_size = 0;
    std::vector<std::byte> pixels;  // rows of width * 4 bytes; not of a blob
    std::optional<GpuBacking> backing;
};

// How a picture lies in a resource.
struct GpuPicture {
    uint32_t format = 0, width = 0, height = 0;  // pixels
    uint32_t stride = 0;                         // bytes
    uint64_t offset = 0;

    // True if all of it lies in so many bytes, and rows do not overlap.
    bool lies_in(uint64_t bytes) const;
};

// A driver's resources by their numbers. It chooses how many, how large and in how many pieces: in
// all they take at most kBytesMost of the host's memory, and one more is refused. Single-threaded.
class GpuResources {
  public:
    static constexpr uint64_t kBytesMost = uint64_t{256} << 20;
    static constexpr uint32_t kSideMost = 16384;  // pixels
    static constexpr size_t kMost = 16384;

    enum class Made : uint8_t { kYes, kBadNumber, kBadValue, kNoRoom };
    Made create(uint32_t number, uint32_t format, uint32_t width, uint32_t height);
    Made create_blob(uint32_t number, uint64_t size, GpuBacking backing);
    GpuResource* find(uint32_t number);
    bool remove(uint32_t number);
    // False: no room.
    [[nodiscard]] bool attach(GpuResource& resource, GpuBacking backing);
    void detach(GpuResource& resource);
    void clear();
    uint64_t bytes() const { return bytes_; }

  private:
    [[nodiscard]] bool charge(uint64_t bytes);

    std::unordered_map<uint32_t, GpuResource> resources_;
    uint64_t bytes_ = 0;
};

// A row of a picture, from pixel x on, as AARRGGBBh; black where it cannot be read.
// bytes: room for one row, kept between calls.
void read_gpu_row(const GpuResource& resource, const GpuPicture& picture, const DmaView& memory,
                  uint32_t x, uint32_t y, std::vector<std::byte>& bytes, std::span<uint32_t> to);

}  // namespace mynah
