#include <algorithm>
#include <bit>

#include "base/bits.h"
#include "base/check.h"
#include "bus/pci/pci_function_state.h"

// Message-signalled interrupts of a PciFunction.
namespace mynah {

namespace msi = pci::msi;
namespace msix = pci::msix;

void PciFunction::add_msi(unsigned vectors) {
    CHECK(msi_ == 0 && std::has_single_bit(vectors) && vectors <= msi::kMaxVectors);
    msi_vectors_ = vectors;
    const std::vector<uint8_t> zeros(msi::kBytes - 2);
    msi_ = add_capability(pci::capability::kMsi, zeros, zeros);
    const auto capable = static_cast<uint32_t>(std::countr_zero(vectors));
    set_config(msi_ + msi::kControl, 2,
               msi::kAddress64 | msi::kPerVectorMask | capable << msi::kMultipleCapableShift,
               msi::kEnable | msi::kMultipleEnable);
    set_config(msi_ + msi::kAddress, 4, 0, ~3u);
    set_config(msi_ + msi::kAddressHigh, 4, 0, ~0u);
    set_config(msi_ + msi::kData, 2, 0, 0xffff);
    set_config(msi_ + msi::kMask, 4, 0, static_cast<uint32_t>(low_mask(vectors)));
}

void PciFunction::add_msix(unsigned vectors, unsigned bar, uint32_t table_offset,
                           uint32_t pending_offset) {
    CHECK(msix_ == 0 && vectors > 0 && vectors <= msix::kMaxVectors);
    CHECK(table_offset % 8 == 0 && pending_offset % 8 == 0);
    const uint64_t table_bytes = uint64_t{vectors} * msix::kEntryBytes;
    const uint64_t pending_bytes = align_up(vectors, 64) / 8;
    CHECK(table_offset + table_bytes <= pending_offset ||
          pending_offset + pending_bytes <= table_offset);
    BarSlot* slot = nullptr;
    for (const auto& candidate : bars_)
        if (candidate->number == bar) slot = candidate.get();
    CHECK(slot != nullptr && slot->window != nullptr && !slot->is_io());
    CHECK(table_offset + table_bytes <= slot->size && pending_offset + pending_bytes <= slot->size);
    slot->window->put_msix(table_offset, table_bytes, pending_offset, pending_bytes);

    msix_vectors_ = vectors;
    const std::vector<uint8_t> zeros(msix::kBytes - 2);
    msix_ = add_capability(pci::capability::kMsix, zeros, zeros);
    set_config(msix_ + msix::kControl, 2, vectors - 1, msix::kEnable | msix::kFunctionMask);
    set_config(msix_ + msix::kTable, 4, table_offset | bar, 0);
    set_config(msix_ + msix::kPendingBits, 4, pending_offset | bar, 0);
    MutexLock lock(mutex_);
    state_->table.assign(table_bytes, 0);
    for (unsigned i = 0; i < vectors; ++i)
        state_->table[i * msix::kEntryBytes + msix::kEntryControl] = msix::kEntryMasked;
    state_->pending.assign(pending_bytes / 8, 0);
}

bool PciFunction::msi_on() const {
    return msi_ != 0 && (state_->config.word(msi_ + msi::kControl) & msi::kEnable) != 0;
}

bool PciFunction::msix_on() const {
    return msix_ != 0 && (state_->config.word(msix_ + msix::kControl) & msix::kEnable) != 0;
}

bool PciFunction::msi_enabled() const {
    MutexLock lock(mutex_);
    return msi_on() || msix_on();
}

// With several vectors the low bits of the data say which [PCI 3.0 6.8.3.4].
MsiMessage PciFunction::msi_message(unsigned vector) const {
    const PciConfigSpace& config = state_->config;
    const uint16_t control = config.word(msi_ + msi::kControl);
    const unsigned enabled = (control & msi::kMultipleEnable) >> msi::kMultipleEnableShift;
    const uint32_t low = (1u << std::min(enabled, 5u)) - 1;
    const uint32_t data = config.word(msi_ + msi::kData);
    return {
        uint64_t{config.dword(msi_ + msi::kAddressHigh)} << 32 | config.dword(msi_ + msi::kAddress),
        (data & ~low) | (vector & low)};
}

MsiMessage PciFunction::msix_message(unsigned vector) const {
    const uint8_t* entry = state_->table.data() + vector * msix::kEntryBytes;
    return {load_unaligned<uint64_t>(entry), load_unaligned<uint32_t>(entry + msix::kEntryData)};
}

bool PciFunction::msi_masked(unsigned vector) const {
    return (state_->config.dword(msi_ + msi::kMask) >> vector & 1) != 0;
}

bool PciFunction::msix_masked(unsigned vector) const {
    if ((state_->config.word(msix_ + msix::kControl) & msix::kFunctionMask) != 0) return true;
    const size_t control = vector * msix::kEntryBytes + msix::kEntryControl;
    return (state_->table[control] & msix::kEntryMasked) != 0;
}

void PciFunction::send_msi(unsigned vector) {
    MsiMessage message;
    {
        MutexLock lock(mutex_);
        PciConfigSpace& config = state_->config;
        const bool is_msix = msix_on();
        if (!is_msix && !msi_on()) return;
        if (is_msix) {
            if (vector >= msix_vectors_) return;
            if (msix_masked(vector) || !bus_master_) {
                if (msix_masked(vector)) state_->pending[vector / 64] |= bit(vector % 64);
                return;
            }
            message = msix_message(vector);
        } else {
            const uint16_t control = config.word(msi_ + msi::kControl);
            const unsigned enabled = (control & msi::kMultipleEnable) >> msi::kMultipleEnableShift;
            vector &= std::min(1u << std::min(enabled, 5u), msi_vectors_) - 1;
            if (msi_masked(vector)) {
                const unsigned at = msi_ + msi::kPending;
                config.store(at, 4, config.dword(at) | 1u << vector);
                return;
            }
            if (!bus_master_) return;
            message = msi_message(vector);
        }
    }
    at_.msi.send(message);
}

// What became unmasked leaves now [PCI 3.0 6.8.3.5].
void PciFunction::collect_pending(Messages& out) {
    if (!bus_master_) return;
    PciConfigSpace& config = state_->config;
    if (msix_on()) {
        for (size_t word = 0; word < state_->pending.size(); ++word) {
            for (uint64_t left = state_->pending[word]; left != 0; left &= left - 1) {
                const auto number = static_cast<unsigned>(std::countr_zero(left));
                const unsigned vector = static_cast<unsigned>(word) * 64 + number;
                if (msix_masked(vector)) continue;
                state_->pending[word] &= ~bit(number);
                out.items.push_back(msix_message(vector));
            }
        }
    } else if (msi_on()) {
        uint32_t pending = config.dword(msi_ + msi::kPending);
        for (uint32_t left = pending & ~config.dword(msi_ + msi::kMask); left != 0;
             left &= left - 1) {
            const auto vector = static_cast<unsigned>(std::countr_zero(left));
            pending &= ~(1u << vector);
            out.items.push_back(msi_message(vector));
        }
        config.store(msi_ + msi::kPending, 4, pending);
    }
}

void PciFunction::send(const Messages& messages) {
    for (const MsiMessage& message : messages.items) at_.msi.send(message);
}

uint64_t PciFunction::msix_read(bool table, uint64_t offset, unsigned size) {
    MutexLock lock(mutex_);
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        const uint64_t at = offset + i;
        uint64_t byte = 0;
        if (table && at < state_->table.size()) byte = state_->table[at];
        if (!table && at / 8 < state_->pending.size())
            byte = state_->pending[at / 8] >> (8 * (at % 8)) & 0xff;
        value |= byte << (8 * i);
    }
    return value;
}

void PciFunction::msix_write(uint64_t offset, unsigned size, uint64_t value) {
    Messages messages;
    {
        MutexLock lock(mutex_);
        for (unsigned i = 0; i < size && offset + i < state_->table.size(); ++i) {
            const uint64_t at = offset + i;
            const unsigned field = at % msix::kEntryBytes;
            auto byte = static_cast<uint8_t>(value >> (8 * i));
            if (field == msix::kEntryAddress) byte &= 0xfc;
            if (field == msix::kEntryControl) byte &= msix::kEntryMasked;
            if (field > msix::kEntryControl) byte = 0;
            state_->table[at] = byte;
        }
        collect_pending(messages);
    }
    send(messages);
}

}  // namespace mynah
