// The rings of the 82540EM: what is fetched from them and what is stored through them.

#include <algorithm>

#include "backend/network/ethernet.h"
#include "backend/network/segmentation.h"
#include "device/network/i82540em.h"

namespace mynah {

using namespace i82540em;

// --- Transmit [8254x 3.3, 3.4].

uint32_t I82540em::TransmitRing::descriptors() const {
    return static_cast<uint32_t>(length / kDescriptorSize);
}

bool I82540em::has_transmit_work() const {
    const uint32_t count = tx_.descriptors();
    return (tctl_ & kTctlEn) != 0 && tx_.head != tx_.tail && tx_.head < count && tx_.tail < count;
}

Transmitter::Settings I82540em::transmit_settings(NetworkOffloads offloads) const {
    Transmitter::Settings settings;
    settings.pad_short = (tctl_ & kTctlPsp) != 0;
    settings.vlan = (ctrl_ & kCtrlVme) != 0;
    settings.vlan_type = static_cast<uint16_t>(vet_);
    settings.offloads = offloads;
    return settings;
}

// What is told about a descriptor that is done; true: TXDW is to be raised at once.
bool I82540em::write_back(const TransmitDescriptor& descriptor, GuestPhys place, const DmaView& dma,
                          uint64_t now) {
    if ((descriptor.command & kTxRs) == 0) return false;
    const uint32_t status = (descriptor.status & ~kTxStatusMask) | kTxStatusDd;
    (void)dma.store_release(place + offsetof(TransmitDescriptor, status), status);
    // Context descriptors and those with IDE wait for their timer [8254x 3.4.3.1].
    if ((descriptor.command & kTxIde) == 0) return true;
    interrupts_.sent_delayed(now);
    return false;
}

bool I82540em::fetch(const DmaView& dma, NetworkOffloads offloads, TransmitBatch& to,
                     uint64_t now) {
    const Transmitter::Settings settings = transmit_settings(offloads);
    const uint32_t count = tx_.descriptors();
    uint32_t causes = 0;
    bool any = false;
    // Never more than the ring holds, whatever the descriptors say.
    for (uint32_t done = 0; done < count && has_transmit_work(); ++done) {
        const GuestPhys place{tx_.base + uint64_t{tx_.head} * kDescriptorSize};
        const auto descriptor = dma.load<TransmitDescriptor>(place);
        if (descriptor) {
            if (!transmitter_.take(*descriptor, settings, dma, to, statistics_)) {
                interrupts_.raise(causes, now);
                return true;
            }
            if (write_back(*descriptor, place, dma, now)) causes |= kCauseTxdw;
        }
        any = true;
        tx_.head = tx_.head + 1 == count ? 0 : tx_.head + 1;
        const uint32_t left = (tx_.tail + count - tx_.head) % count;
        const uint32_t threshold = TxdctlLwthresh::get(txdctl_) * 8;
        if (threshold != 0 && left == threshold) causes |= kCauseTxdLow;
    }
    if (any && tx_.head == tx_.tail) causes |= kCauseTxqe;
    if (causes != 0) interrupts_.raise(causes, now);
    return false;
}

// --- Receive [8254x 3.2].

bool I82540em::receive(const NetworkFrame& frame, const DmaView& dma, uint64_t now) {
    if ((rctl_ & kRctlEn) == 0 || !link_up_) return true;
    if (frame.size < ethernet::kHeaderSize || !gather_frame(frame, frame_)) return true;
    // On the wire it was no shorter than this.
    size_t size = frame.size;
    if (size < ethernet::kMinFrame) {
        std::fill_n(frame_.begin() + static_cast<std::ptrdiff_t>(size), ethernet::kMinFrame - size,
                    std::byte{0});
        size = ethernet::kMinFrame;
    }
    const auto bytes = std::span<const std::byte>(frame_).first(size);
    const bool tagged = ethernet::load16(bytes, ethernet::kType) == vet_;
    const size_t longest = ethernet::kMaxFrame + (tagged ? ethernet::kVlanTagSize : 0);
    constexpr size_t kLongestJumbo = 16384 - ethernet::kCheckSequenceSize;
    if (size > ((rctl_ & kRctlLpe) != 0 ? kLongestJumbo : longest)) {
        statistics_.count(kRoc);
        return true;
    }
    if (!filter_.accepts(bytes, rctl_, static_cast<uint16_t>(vet_))) return true;

    Receiver::Settings settings;
    settings.rctl = rctl_;
    settings.rxcsum = rxcsum_;
    settings.strip_vlan = (ctrl_ & kCtrlVme) != 0;
    settings.vlan_type = static_cast<uint16_t>(vet_);
    settings.verified = frame.offload.checksum_good;
    const uint32_t needed = Receiver::descriptors_for(size, settings);
    if (rx_.descriptors > 0 && needed >= rx_.descriptors) {
        statistics_.count(kMpc);  // would never fit
        return true;
    }
    const uint32_t free_before = rx_.free();
    if (free_before < needed) return false;
    Receiver::store(bytes, settings, dma, rx_);
    statistics_.received(destination_of(bytes), size + ethernet::kCheckSequenceSize);
    // A half, a quarter or an eighth of the ring is left [8254x 13.4.22, RDMTS].
    const uint32_t threshold = rx_.descriptors >> (RctlRdmts::get(rctl_) + 1);
    if (free_before > threshold && rx_.free() <= threshold) interrupts_.raise(kCauseRxdmt0, now);
    interrupts_.received(now);
    return true;
}

}  // namespace mynah
