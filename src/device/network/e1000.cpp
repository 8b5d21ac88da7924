#include "device/network/e1000.h"

#include <algorithm>
#include <utility>

namespace mynah {

using namespace i82540em;

namespace {

constexpr PciIdentity kIdentity{.vendor = 0x8086,
                                .device = 0x100e,
                                .class_code = 0x020000,  // Ethernet controller
                                .revision = 2,
                                .subsystem_vendor = 0x8086,
                                .subsystem = 0x001e,
                                .interrupt_pin = 1};

}  // namespace

E1000::E1000(const PciAttachment& attachment, VmClock& clock, NetworkBackend& backend,
             const MacAddress& address, std::span<const std::byte> rom)
    : function_(attachment, kIdentity),
      pin_(function_),
      line_(pin_),
      clock_(clock),
      backend_(backend),
      offloads_(backend.transmit_offloads()),
      sender_(backend),
      chip_(address),
      timer_(clock.create_timer([this] { expired(); })) {
    function_.add_bar(0, PciFunction::Bar::kMemory32, kMemoryWindow, memory_window_);
    function_.add_bar(1, PciFunction::Bar::kIo, kIoWindow, port_window_);
    if (!rom.empty()) {
        const uint64_t size = align_up(rom.size(), kPageSize);
        const GuestMemory::Block block = attachment.memory.take_block(size);
        std::copy(rom.begin(), rom.end(), block.host);
        function_.add_rom(block);
    }
    {
        MutexLock lock(mutex_);
        chip_.set_link(backend_.link_up(), clock_.now_ns());
    }
    backend_.set_receive_offloads({});
    backend_.set_sink(this);
}

E1000::~E1000() {
    backend_.set_sink(nullptr);
    timer_.reset();
}

// Line and timer follow the chip's state.
void E1000::update() {
    line_.want(chip_.interrupt());
    const uint64_t deadline = chip_.deadline();
    if (deadline == armed_) return;
    armed_ = deadline;
    if (deadline == Interrupts::kNever) {
        timer_->disarm();
    } else {
        timer_->arm(deadline);
    }
}

void E1000::expired() {
    {
        MutexLock lock(mutex_);
        armed_ = Interrupts::kNever;
        chip_.expire(clock_.now_ns());
        update();
    }
    line_.flush();
}

// --- Registers.

uint32_t E1000::read_register(uint32_t offset) {
    uint32_t value;
    {
        MutexLock lock(mutex_);
        value = chip_.read(offset, clock_.now_ns());
        // Only this one changes anything about interrupts.
        if (offset != kIcr) return value;
        update();
    }
    line_.flush();
    return value;
}

void E1000::write_register(uint32_t offset, uint32_t value) {
    bool wake_backend = false, has_work = false;
    {
        MutexLock lock(mutex_);
        chip_.write(offset, value, clock_.now_ns());
        update();
        has_work = (offset == kTdt || offset == kTctl) && chip_.has_transmit_work();
        // What may make room, or let frames through that are then dropped.
        if (offset == kRdt || offset == kRctl || offset == kCtrl) {
            wake_backend = std::exchange(starved_, false);
        }
    }
    line_.flush();
    if (has_work) send();
    if (wake_backend) backend_.receive_ready();
}

uint64_t E1000::MemoryWindow::read(uint64_t offset, unsigned size) {
    const auto first = static_cast<uint32_t>(align_down(offset, 4));
    uint64_t value = card_.read_register(first);
    if (size == 8) value |= uint64_t{card_.read_register(first + 4)} << 32;
    return value >> (offset % 4 * 8);
}

void E1000::MemoryWindow::write(uint64_t offset, unsigned size, uint64_t value) {
    // Registers are 32 bits wide; what is narrower is undefined [8254x 13.2] and dropped here.
    if (size < 4 || offset % 4 != 0) return;
    card_.write_register(static_cast<uint32_t>(offset), static_cast<uint32_t>(value));
    if (size == 8) {
        card_.write_register(static_cast<uint32_t>(offset) + 4, static_cast<uint32_t>(value >> 32));
    }
}

uint64_t E1000::PortWindow::read(uint64_t offset, unsigned size) {
    if (size != 4 || (offset != kIoAddress && offset != kIoData)) return ~uint64_t{0};
    uint32_t address;
    {
        MutexLock lock(card_.mutex_);
        address = card_.io_address_;
    }
    return offset == kIoAddress ? address : card_.read_register(address);
}

void E1000::PortWindow::write(uint64_t offset, unsigned size, uint64_t value) {
    if (size != 4) return;
    uint32_t address;
    {
        MutexLock lock(card_.mutex_);
        // Registers only; the flash behind them is not there [8254x 4.4.1].
        if (offset == kIoAddress) {
            card_.io_address_ = static_cast<uint32_t>(value) & (kMemoryWindow - 4);
        }
        address = card_.io_address_;
    }
    if (offset == kIoData) card_.write_register(address, static_cast<uint32_t>(value));
}

// --- Frames.

bool E1000::fetch(TransmitBatch& batch) {
    bool more;
    {
        MutexLock lock(mutex_);
        const bool loops = chip_.loopback();
        const uint64_t now = clock_.now_ns();
        more = chip_.fetch(function_.dma(), loops ? NetworkOffloads{} : offloads_, batch, now);
        if (loops) {
            for (const NetworkFrame& frame : batch.frames()) {
                (void)chip_.receive(frame, function_.dma(), now);
            }
            batch.drop_front(TransmitBatch::kMostFrames);
        }
        update();
    }
    line_.flush();
    return more;
}

void E1000::send() {
    sender_.run([this](TransmitBatch& batch) { return fetch(batch); });
}

size_t E1000::receive(std::span<const NetworkFrame> frames) {
    size_t taken = 0;
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        while (taken < frames.size() && chip_.receive(frames[taken], function_.dma(), now)) {
            ++taken;
        }
        if (taken < frames.size()) starved_ = true;
        update();
    }
    line_.flush();
    return taken;
}

void E1000::link_changed(bool up) {
    {
        MutexLock lock(mutex_);
        chip_.set_link(up, clock_.now_ns());
        update();
    }
    line_.flush();
}

void E1000::reset() {
    bool wake_backend;
    {
        MutexLock lock(mutex_);
        chip_.reset();
        chip_.set_link(backend_.link_up(), clock_.now_ns());
        io_address_ = 0;
        update();
        wake_backend = std::exchange(starved_, false);
    }
    line_.flush();
    sender_.drop();
    function_.reset();
    if (wake_backend) backend_.receive_ready();
}

}  // namespace mynah
