#pragma once

#include <cstdint>
#include <vector>

#include "backend/display/display_source.h"
#include "backend/display/edid.h"
#include "base/mutex.h"
#include "bus/byte_window.h"
#include "bus/vm_clock.h"
#include "device/display/vga.h"
#include "device/display/vga_renderer.h"
#include "memory/dirty_pages.h"
#include "memory/guest_memory.h"

namespace mynah {

// Puts a Vga into a machine: its ranges of ports and memory, its lock, and the picture for those
// who look. Any thread; the picture is drawn outside the lock, so that processors need not wait for
// it.
class VgaAdapter final : public DisplaySource {
  public:
    // video_memory: a power of two, at least 256 KiB; `dirty` tells which of its pages processors
    // wrote to. All outlive the adapter.
    VgaAdapter(VmClock& clock, GuestMemory& memory, const GuestMemory::Block& video_memory,
               DirtyPages& dirty, const Monitor& monitor);

    // Ranges, for the board and the PCI function to place.
    IoHandler& ports() { return ports_; }              // 30h from 3B0h on
    IoHandler& dispi_ports() { return dispi_ports_; }  // 4 from 1CEh on
    IoHandler& window() { return window_; }            // 20000h bytes from A0000h on
    IoHandler& registers() { return registers_; }      // 1000h bytes, BAR 2

    void reset() EXCLUDES(mutex_);
    void refresh(Surface& surface, std::vector<Rect>& changed) override EXCLUDES(mutex_);
    std::string text() override EXCLUDES(mutex_);

  private:
    // The memory window: wide accesses under one lock.
    class Window final : public IoHandler {
      public:
        explicit Window(VgaAdapter& adapter) : adapter_(adapter) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, unsigned size, uint64_t value) override;

      private:
        VgaAdapter& adapter_;
    };
    class DispiPorts final : public IoHandler {
      public:
        explicit DispiPorts(VgaAdapter& adapter) : adapter_(adapter) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, unsigned size, uint64_t value) override;

      private:
        VgaAdapter& adapter_;
    };
    class Registers final : public IoHandler {
      public:
        explicit Registers(VgaAdapter& adapter) : adapter_(adapter) {}
        uint64_t read(uint64_t offset, unsigned size) override;
        void write(uint64_t offset, unsigned size, uint64_t value) override;

      private:
        VgaAdapter& adapter_;
    };

    uint8_t read_port(unsigned offset) EXCLUDES(mutex_);
    void write_port(unsigned offset, uint8_t value) EXCLUDES(mutex_);
    uint16_t read_dispi(unsigned index) EXCLUDES(mutex_);
    void write_dispi(unsigned index, uint16_t value) EXCLUDES(mutex_);
    uint8_t read_register(unsigned offset) EXCLUDES(mutex_);
    void report(const VgaMemory::Change& change) EXCLUDES(mutex_);

    VmClock& clock_;
    GuestMemory& memory_;
    const GuestMemory::Block video_memory_;
    DirtyPages& dirty_;
    const std::array<uint8_t, 128> edid_;
    ByteWindow<VgaAdapter> ports_;
    DispiPorts dispi_ports_;
    Window window_;
    Registers registers_;

    Mutex mutex_;
    Vga chip_ GUARDED_BY(mutex_);
    uint16_t dispi_index_ GUARDED_BY(mutex_) = 0;
    // Of the one caller of refresh().
    VgaRenderer renderer_;
    std::vector<uint64_t> dirty_bits_;
};

}  // namespace mynah
