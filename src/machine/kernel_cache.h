#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "firmware/unpack_cache.h"

namespace mynah {

// Unpacked kernels as files of a private directory, one each: the packed bytes, to be compared, and
// what they unpacked to. Files appear under their name when they are whole, and carry a checksum;
// what is damaged, or could have been written by somebody else, is as good as absent. A directory
// that cannot be used is a cache without content: nothing here ever fails.
class KernelCache final : public UnpackCache {
  public:
    // largest: bytes of all files together; the ones used longest ago give way.
    static constexpr uint64_t kLargest = uint64_t{512} << 20;
    explicit KernelCache(std::string directory, uint64_t largest = kLargest);
    // Waits until what was kept is written.
    ~KernelCache();

    std::optional<UnpackedBytes> find(std::span<const std::byte> packed) override;
    // Writes on a thread of its own: the guest need not wait for it.
    void keep(std::span<const std::byte> packed, UnpackedBytes unpacked) override;

  private:
    struct Header;
    std::string path_of(std::span<const std::byte> packed) const;
    bool write(const std::string& path, std::span<const std::byte> packed,
               std::span<const std::byte> unpacked) const;
    void make_room(uint64_t size) const;

    const std::string directory_;
    const uint64_t largest_;
    std::thread writer_;
};

}  // namespace mynah
