#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mynah {

// Which pair of queues a received packet goes to [virtio-1.2 5.1.6.5.5]: the one on which the
// driver sent last in the same flow, so that the processor that waits for an answer gets it; of
// flows that were never sent in, any. Every function from any thread; a lost race costs locality
// only.
class NetSteering {
  public:
    // frame: the first bytes, as many as there are up to kLooksAt.
    static constexpr size_t kLooksAt = 128;

    void sent(std::span<const std::byte> frame, uint16_t pair);
    // pairs: how many are in use, at least 1.
    uint16_t choose(std::span<const std::byte> frame, uint16_t pairs) const;
    void clear();

    // Of addresses and ports, the same in both directions. 0 for what is not IP.
    static uint32_t flow_hash(std::span<const std::byte> frame);

  private:
    static constexpr size_t kFlows = 1024;
    std::array<std::atomic<uint8_t>, kFlows> pair_of_{};  // plus one; 0: never sent in
};

}  // namespace mynah
