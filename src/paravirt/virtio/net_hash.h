#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "memory/slice_list.h"

namespace mynah {

// The Toeplitz hash of what arrives, and where packets go by it [virtio-1.2 5.1.6.4.3, 5.1.6.5.7].
// Single-threaded.
class NetHash {
  public:
    static constexpr size_t kKeyMost = 40, kTableMost = 128;
    static constexpr uint32_t kTypes = 0x3f;  // IP, TCP and UDP over IPv4 and IPv6

    // A packet's hash, and by which of its fields it was made, as the header reports it
    // [virtio-1.2 5.1.6.4.4]; kNone: by none that the driver wants.
    enum class Report : uint16_t {
        kNone = 0,
        kIpv4 = 1,
        kTcpv4 = 2,
        kUdpv4 = 3,
        kIpv6 = 4,
        kTcpv6 = 5,
        kUdpv6 = 6
    };
    struct Result {
        uint32_t value = 0;
        Report report = Report::kNone;
    };

    // Commands' data, behind class and command. False: it breaks a rule, and nothing changed.
    // pairs: of queues that there are; transmit_pairs: how many the driver uses.
    [[nodiscard]] bool set_steering(SliceList& data, uint16_t pairs, uint16_t& transmit_pairs);
    [[nodiscard]] bool set_report(SliceList& data);
    // The device steers by itself again.
    void stop_steering() { table_.clear(); }

    // frame: its first bytes.
    Result of(std::span<const std::byte> frame) const;
    // Nothing: the driver has not said where packets go.
    std::optional<uint16_t> pair_for(const Result& hash) const;

    // [Microsoft RSS]: bits of the key, shifted by one for each bit of the input, are
    // added up where the input has ones.
    static uint32_t toeplitz(std::span<const uint8_t> key, std::span<const std::byte> input);

  private:
    struct Key {
        uint8_t length = 0;
        std::array<uint8_t, kKeyMost> bytes{};
    };
    static bool take_key(SliceList& data, Key& key);
    Result make(std::span<const std::byte> input, Report report) const;

    uint32_t types_ = 0;
    Key key_;
    std::vector<uint16_t> table_;  // pairs by the low bits of the hash; empty: none was set
    uint16_t unclassified_ = 0;
};

}  // namespace mynah
