#include "backend/network/switch_table.h"

#include <algorithm>
#include <cstring>

#include "backend/network/ethernet.h"

namespace mynah {

namespace {

constexpr uint16_t kVlanMask = 0xfff;
constexpr unsigned kPriorityShift = 13;
constexpr uint64_t kNsPerSecond = 1000ull * 1000 * 1000;
// How often old addresses are looked for.
constexpr uint64_t kSweepNs = 10 * kNsPerSecond;

MacAddress address_at(std::span<const std::byte> frame, size_t at) {
    MacAddress address;
    std::memcpy(address.bytes.data(), frame.data() + at, address.bytes.size());
    return address;
}

bool carries(const SwitchPortRules& rules, uint16_t vlan) {
    if (rules.mirror || vlan == rules.vlan) return true;
    return rules.trunk && rules.allowed[vlan];
}

}  // namespace

void SwitchTable::add_port(Port port, const SwitchPortRules& rules) {
    PortState state;
    state.rules = rules;
    ports_[port] = state;
}

void SwitchTable::remove_port(Port port) {
    ports_.erase(port);
    std::erase_if(learnt_, [&](const auto& entry) { return entry.second.port == port; });
}

// Which VLAN a frame from such a port is in; nothing: the port may not send it.
std::optional<SwitchTable::Classified> SwitchTable::classify(const SwitchPortRules& rules,
                                                             std::span<const std::byte> frame) {
    verdict_.priority = 0;
    if (ethernet::load16(frame, ethernet::kType) != ethernet::kTypeVlan)
        return Classified{rules.vlan};
    if (frame.size() < ethernet::kHeaderSize + ethernet::kVlanTagSize) return std::nullopt;
    const uint16_t tag = ethernet::load16(frame, ethernet::kHeaderSize);
    const auto vlan = static_cast<uint16_t>(tag & kVlanMask);
    verdict_.priority = static_cast<uint8_t>(tag >> kPriorityShift);
    const uint16_t type = ethernet::load16(frame, ethernet::kType + ethernet::kVlanTagSize);
    const bool nested = type == ethernet::kTypeVlan;
    // A tag for priority alone names no VLAN [802.1Q 9.6].
    if (vlan == 0) return Classified{rules.vlan, true, false, nested};
    if (vlan > SwitchPortRules::kMaxVlan || !rules.trunk || !rules.allowed[vlan])
        return std::nullopt;
    return Classified{vlan, true, true, nested};
}

// A bucket that a tenth of a second fills, and that holds a packet of any size.
bool SwitchTable::within_rate(PortState& port, size_t size, uint64_t now_ns) {
    const uint64_t rate = port.rules.bytes_per_second;
    if (rate == 0) return true;
    constexpr uint64_t kBurstShare = 10;
    const uint64_t burst = std::max<uint64_t>(rate / kBurstShare, ethernet::kMaxSuperFrame);
    const uint64_t passed = now_ns - port.filled_ns;
    // The first frame finds it full; so does one after a whole second, which also keeps the product
    // within 64 bits.
    const bool full = port.filled_ns == 0 || passed >= kNsPerSecond;
    const uint64_t earned =
        full ? burst : static_cast<uint64_t>(static_cast<double>(rate) *
                                             static_cast<double>(passed) / 1e9);
    if (full || earned > 0) {
        port.tokens = std::min(burst, port.tokens + earned);
        port.filled_ns = now_ns;
    }
    if (port.tokens < size) return false;
    port.tokens -= size;
    return true;
}

void SwitchTable::learn(Port from, PortState& port, const Key& sender, uint64_t now_ns) {
    if (sender.address.is_group()) return;  // nobody's own address
    const auto known = learnt_.find(sender);
    if (known != learnt_.end()) {
        if (known->second.port != from) {
            if (port.learnt >= kMaxPerPort) return;
            const auto before = ports_.find(known->second.port);
            if (before != ports_.end()) --before->second.learnt;
            ++port.learnt;
        }
        known->second = {from, now_ns};
        return;
    }
    if (port.learnt >= kMaxPerPort || learnt_.size() >= kMaxAddresses) return;
    learnt_.emplace(sender, Place{from, now_ns});
    ++port.learnt;
}

void SwitchTable::forget_old(uint64_t now_ns) {
    if (now_ns - swept_ns_ < kSweepNs) return;
    swept_ns_ = now_ns;
    std::erase_if(learnt_, [&](const auto& entry) {
        if (now_ns - entry.second.seen_ns < kAgeNs) return false;
        const auto port = ports_.find(entry.second.port);
        if (port != ports_.end()) --port->second.learnt;
        return true;
    });
}

void SwitchTable::add_copy(Port port, const SwitchPortRules& rules, const Classified& frame) {
    // Frames of the port's own VLAN go without a tag, but a mirror sees them with it.
    const bool tag = frame.vlan != 0 && (rules.mirror || frame.vlan != rules.vlan);
    Copy::Tag change = Copy::Tag::kAsItCame;
    if (frame.tagged && !tag) {
        // On a trunk the tag behind it would then name a VLAN that the sender chose.
        if (frame.nested && rules.trunk) return;
        change = Copy::Tag::kRemove;
    } else if (!frame.tagged && tag) {
        change = Copy::Tag::kInsert;
    } else if (tag && !frame.names_vlan) {
        // As it came the next switch would take it for its own port's VLAN.
        change = Copy::Tag::kReplace;
    }
    verdict_.copies.push_back({port, change});
}

const SwitchTable::Verdict& SwitchTable::forward(Port from, std::span<const std::byte> frame,
                                                 size_t size, uint64_t now_ns) {
    verdict_.copies.clear();
    const auto sender = ports_.find(from);
    if (sender == ports_.end() || frame.size() < ethernet::kHeaderSize) return verdict_;
    if (sender->second.rules.mirror) return verdict_;
    const auto classified = classify(sender->second.rules, frame);
    if (!classified || !within_rate(sender->second, size, now_ns)) return verdict_;
    verdict_.vlan = classified->vlan;
    forget_old(now_ns);
    learn(from, sender->second, {classified->vlan, address_at(frame, ethernet::kSource)}, now_ns);

    const MacAddress destination = address_at(frame, ethernet::kDestination);
    std::optional<Port> only;
    if (!destination.is_group()) {
        const auto known = learnt_.find({classified->vlan, destination});
        if (known != learnt_.end() && now_ns - known->second.seen_ns < kAgeNs)
            only = known->second.port;
    }
    for (const auto& [port, state] : ports_) {
        if (port == from || !carries(state.rules, classified->vlan)) continue;
        if (only && port != *only && !state.rules.mirror) continue;
        add_copy(port, state.rules, *classified);
    }
    return verdict_;
}

}  // namespace mynah
