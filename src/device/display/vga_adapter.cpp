#include "device/display/vga_adapter.h"

#include <array>
#include <optional>

#include "device/display/vga_timing.h"
#include "memory/address.h"
#include "spec/vga/dispi_registers.h"
#include "spec/vga/vga_registers.h"

namespace mynah {

VgaAdapter::VgaAdapter(VmClock& clock, GuestMemory& memory, const GuestMemory::Block& video_memory,
                       DirtyPages& dirty, const Monitor& monitor)
    : clock_(clock),
      memory_(memory),
      video_memory_(video_memory),
      dirty_(dirty),
      edid_(make_edid(monitor)),
      ports_(*this, &VgaAdapter::read_port, &VgaAdapter::write_port),
      dispi_ports_(*this),
      window_(*this),
      registers_(*this),
      chip_(std::span(video_memory.host, video_memory.size)),
      dirty_bits_((video_memory.size / kPageSize + 63) / 64) {}

void VgaAdapter::reset() {
    MutexLock lock(mutex_);
    chip_.reset();
    dispi_index_ = 0;
}

// Code may run from video memory: who keeps translations of it must hear of changes.
void VgaAdapter::report(const VgaMemory::Change& change) {
    if (change.size > 0) memory_.watch().wrote(video_memory_.host + change.begin, change.size);
}

uint8_t VgaAdapter::read_port(unsigned offset) {
    const uint64_t now = clock_.now_ns();
    MutexLock lock(mutex_);
    return chip_.read_port(static_cast<uint16_t>(vga::kFirstPort + offset), now);
}

void VgaAdapter::write_port(unsigned offset, uint8_t value) {
    MutexLock lock(mutex_);
    chip_.write_port(static_cast<uint16_t>(vga::kFirstPort + offset), value);
}

uint16_t VgaAdapter::read_dispi(unsigned index) {
    MutexLock lock(mutex_);
    return chip_.read_dispi(index);
}

void VgaAdapter::write_dispi(unsigned index, uint16_t value) {
    VgaMemory::Change change;
    {
        MutexLock lock(mutex_);
        change = chip_.write_dispi(index, value);
    }
    report(change);
}

uint64_t VgaAdapter::Window::read(uint64_t offset, unsigned size) {
    MutexLock lock(adapter_.mutex_);
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        value |= uint64_t{adapter_.chip_.read_memory(static_cast<uint32_t>(offset + i))} << (8 * i);
    }
    return value;
}

void VgaAdapter::Window::write(uint64_t offset, unsigned size, uint64_t value) {
    std::array<VgaMemory::Change, 8> changes;
    {
        MutexLock lock(adapter_.mutex_);
        for (unsigned i = 0; i < size; ++i) {
            changes[i] = adapter_.chip_.write_memory(static_cast<uint32_t>(offset + i),
                                                     static_cast<uint8_t>(value >> (8 * i)));
        }
    }
    for (unsigned i = 0; i < size; ++i) adapter_.report(changes[i]);
}

// The index at 1CEh, the data at 1CFh and, for who can reach only even ports, at 1D0h.
uint64_t VgaAdapter::DispiPorts::read(uint64_t offset, unsigned) {
    unsigned index;
    {
        MutexLock lock(adapter_.mutex_);
        index = adapter_.dispi_index_;
    }
    return offset == 0 ? index : adapter_.read_dispi(index);
}

void VgaAdapter::DispiPorts::write(uint64_t offset, unsigned size, uint64_t value) {
    unsigned index;
    {
        MutexLock lock(adapter_.mutex_);
        if (offset == 0) adapter_.dispi_index_ = static_cast<uint16_t>(value);
        index = adapter_.dispi_index_;
    }
    if (offset == 0 && size == 4) value >>= 16;
    if (offset != 0 || size == 4) adapter_.write_dispi(index, static_cast<uint16_t>(value));
}

// --- Registers in memory. What is not of 16 bits there is of bytes.

uint8_t VgaAdapter::read_register(unsigned offset) {
    if (offset < edid_.size()) return edid_[offset];
    if (offset >= vga::kVgaOffset && offset < vga::kVgaOffset + vga::kVgaBytes) {
        return read_port(offset - vga::kVgaOffset + (vga::kAttributeIndex - vga::kFirstPort));
    }
    if (offset >= vga::kDispiOffset && offset < vga::kDispiOffset + vga::kDispiBytes) {
        const unsigned from = offset - vga::kDispiOffset;
        return static_cast<uint8_t>(read_dispi(from / 2) >> (8 * (from % 2)));
    }
    if (offset >= vga::kExtensionOffset && offset < vga::kExtensionOffset + vga::kExtensionBytes) {
        // How many bytes of these registers there are, and the byte order of the frame buffer.
        const unsigned from = offset - vga::kExtensionOffset;
        const uint32_t value = from < 4 ? vga::kExtensionBytes : vga::kLittleEndian;
        return static_cast<uint8_t>(value >> (8 * (from % 4)));
    }
    return 0;
}

uint64_t VgaAdapter::Registers::read(uint64_t offset, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; ++i) {
        value |= uint64_t{adapter_.read_register(static_cast<unsigned>(offset) + i)} << (8 * i);
    }
    return value;
}

void VgaAdapter::Registers::write(uint64_t offset, unsigned size, uint64_t value) {
    const auto at = static_cast<unsigned>(offset);
    if (at >= vga::kVgaOffset && at + size <= vga::kVgaOffset + vga::kVgaBytes) {
        for (unsigned i = 0; i < size; ++i) {
            adapter_.write_port(at + i - vga::kVgaOffset + (vga::kAttributeIndex - vga::kFirstPort),
                                static_cast<uint8_t>(value >> (8 * i)));
        }
    } else if (at >= vga::kDispiOffset && at + size <= vga::kDispiOffset + vga::kDispiBytes &&
               at % 2 == 0) {
        for (unsigned i = 0; i < size; i += 2) {
            adapter_.write_dispi((at + i - vga::kDispiOffset) / 2,
                                 static_cast<uint16_t>(value >> (8 * i)));
        }
    }
}

std::string VgaAdapter::text() {
    VgaRegisters registers;
    std::optional<Dispi> dispi;
    {
        MutexLock lock(mutex_);
        registers = chip_.registers();
        dispi = chip_.dispi();
    }
    return screen_text(registers, *dispi, std::span(video_memory_.host, video_memory_.size));
}

void VgaAdapter::refresh(Surface& surface, std::vector<Rect>& changed) {
    const uint64_t now = clock_.now_ns();
    // Marks are taken before memory is read: what is written meanwhile is drawn the next time.
    dirty_.collect(dirty_bits_);
    VgaRegisters registers;
    std::optional<Dispi> dispi;
    {
        MutexLock lock(mutex_);
        registers = chip_.registers();
        dispi = chip_.dispi();
        chip_.memory().take_written(dirty_bits_);
    }
    const uint64_t frame = VgaTiming(registers, 0).frame(now);
    renderer_.render(registers, *dispi, std::span(video_memory_.host, video_memory_.size),
                     dirty_bits_, frame, surface, changed);
}

}  // namespace mynah
