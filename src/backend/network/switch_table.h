#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "backend/network/mac_address.h"

namespace mynah {

// What one port of a virtual switch is allowed and shown.
struct SwitchPortRules {
    static constexpr uint16_t kMaxVlan = 4094;  // [802.1Q 9.6]

    // An access port belongs to one VLAN, and its frames bear no tag. 0: frames without a tag are a
    // network of their own, beside all VLANs.
    uint16_t vlan = 0;
    // A trunk port bears tags of these VLANs; frames without a tag belong to `vlan`.
    bool trunk = false;
    std::bitset<kMaxVlan + 1> allowed;
    // Hears whatever passes, as it would look on a trunk of all VLANs, and says nothing.
    bool mirror = false;
    uint64_t bytes_per_second = 0;  // that it may send; more is dropped. 0: no limit
};

// The decisions of a learning switch [802.1D 7.7 to 7.9, 802.1Q 8.6]: which VLAN a frame is in,
// where its addresses were seen, who gets it. Single-threaded, no input or output; times are
// nanoseconds of any clock.
//
// An address that is not seen for kAgeNs is forgotten. A port's addresses beyond kMaxPerPort, and
// all beyond kMaxAddresses, are not learnt: frames to them go everywhere, and nobody else's entries
// are pushed out by a port that makes addresses up.
class SwitchTable {
  public:
    using Port = uint32_t;
    static constexpr size_t kMaxAddresses = 8192, kMaxPerPort = 1024;
    static constexpr uint64_t kAgeNs = 300ull * 1000 * 1000 * 1000;

    void add_port(Port port, const SwitchPortRules& rules);
    // Also forgets what was learnt of it.
    void remove_port(Port port);

    // Where a frame goes, and how: as it came, or with a tag put in, taken out or written anew.
    struct Copy {
        Port port;
        enum class Tag : uint8_t { kAsItCame, kRemove, kInsert, kReplace } tag;
    };
    struct Verdict {
        uint16_t vlan = 0;
        uint8_t priority = 0;  // of the tag it came with
        std::vector<Copy> copies;
    };
    // Learns the sender, and tells who gets the frame; the verdict is valid until the next call.
    // No copies: it is dropped. `frame`: at least the header, and the tag if there is one.
    const Verdict& forward(Port from, std::span<const std::byte> frame, size_t size,
                           uint64_t now_ns);

    size_t addresses() const { return learnt_.size(); }

  private:
    struct PortState {
        SwitchPortRules rules;
        size_t learnt = 0;
        uint64_t tokens = 0;  // bytes it may send at `filled_ns`
        uint64_t filled_ns = 0;
    };
    struct Key {
        uint16_t vlan;
        MacAddress address;
        auto operator<=>(const Key&) const = default;
    };
    struct Place {
        Port port;
        uint64_t seen_ns;
    };
    struct Classified {
        uint16_t vlan;
        bool tagged = false;
        bool names_vlan = false;  // the tag is not one for priority alone
        bool nested = false;      // behind the tag there is another
    };

    std::optional<Classified> classify(const SwitchPortRules& rules,
                                       std::span<const std::byte> frame);
    static bool within_rate(PortState& port, size_t size, uint64_t now_ns);
    void learn(Port from, PortState& port, const Key& sender, uint64_t now_ns);
    void forget_old(uint64_t now_ns);
    void add_copy(Port port, const SwitchPortRules& rules, const Classified& frame);

    std::map<Port, PortState> ports_;
    std::map<Key, Place> learnt_;
    uint64_t swept_ns_ = 0;
    Verdict verdict_;
};

}  // namespace mynah
