#include "device/network/rtl8139.h"

#include <algorithm>
#include <utility>

namespace mynah {

using namespace rtl8139;

namespace {

constexpr PciIdentity kIdentity{.vendor = 0x10ec,
                                .device = 0x8139,
                                .class_code = 0x020000,  // Ethernet controller
                                .revision = 0x20,        // by which drivers tell the C+
                                .subsystem_vendor = 0x10ec,
                                .subsystem = 0x8139,
                                .interrupt_pin = 1};

}  // namespace

Rtl8139::Rtl8139(const PciAttachment& attachment, VmClock& clock, NetworkBackend& backend,
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
    function_.add_bar(0, PciFunction::Bar::kIo, kWindow, *this);
    function_.add_bar(1, PciFunction::Bar::kMemory32, kWindow, memory_window_);
    if (!rom.empty()) {
        const GuestMemory::Block block =
            attachment.memory.take_block(align_up(rom.size(), kPageSize));
        std::copy(rom.begin(), rom.end(), block.host);
        function_.add_rom(block);
    }
    {
        MutexLock lock(mutex_);
        chip_.set_link(backend_.link_up());
    }
    backend_.set_receive_offloads({});
    backend_.set_sink(this);
}

Rtl8139::~Rtl8139() {
    backend_.set_sink(nullptr);
    timer_.reset();
}

// Line and timer follow the chip's state.
void Rtl8139::update() {
    line_.want(chip_.interrupt());
    const uint64_t deadline = std::min(chip_.deadline(), retry_);
    if (deadline == armed_) return;
    armed_ = deadline;
    if (deadline == Rtl8139Cplus::kNever) {
        timer_->disarm();
    } else {
        timer_->arm(deadline);
    }
}

void Rtl8139::expired() {
    bool wake_backend = false;
    {
        MutexLock lock(mutex_);
        const uint64_t now = clock_.now_ns();
        armed_ = Rtl8139Cplus::kNever;
        chip_.expire(now);
        if (retry_ <= now) {
            retry_ = Rtl8139Cplus::kNever;
            wake_backend = std::exchange(starved_, false);
        }
        update();
    }
    line_.flush();
    if (wake_backend) backend_.receive_ready();
}

uint64_t Rtl8139::read(uint64_t offset, unsigned size) {
    MutexLock lock(mutex_);
    const auto at = static_cast<unsigned>(offset);
    const uint64_t now = clock_.now_ns();
    if (size < 8) return chip_.read(at, size, now);
    return chip_.read(at, 4, now) | uint64_t{chip_.read(at + 4, 4, now)} << 32;
}

void Rtl8139::write(uint64_t offset, unsigned size, uint64_t value) {
    bool wake_backend, has_work;
    {
        MutexLock lock(mutex_);
        const auto at = static_cast<unsigned>(offset);
        const uint64_t now = clock_.now_ns();
        chip_.write(at, std::min(size, 4u), static_cast<uint32_t>(value), function_.dma(), now);
        if (size == 8) {
            chip_.write(at + 4, 4, static_cast<uint32_t>(value >> 32), function_.dma(), now);
        }
        has_work = chip_.has_transmit_work();
        // Any write may make room: the read pointer, a reset, an acknowledgement.
        wake_backend = std::exchange(starved_, false);
        retry_ = Rtl8139Cplus::kNever;
        update();
    }
    line_.flush();
    if (has_work) send();
    if (wake_backend) backend_.receive_ready();
}

// --- Frames.

bool Rtl8139::fetch(TransmitBatch& batch) {
    bool more;
    {
        MutexLock lock(mutex_);
        const bool loops = chip_.loopback();
        more = chip_.fetch(function_.dma(), loops ? NetworkOffloads{} : offloads_, batch);
        if (loops) {
            for (const NetworkFrame& frame : batch.frames()) {
                (void)chip_.receive(frame, function_.dma());
            }
            batch.drop_front(TransmitBatch::kMostFrames);
        }
        update();
    }
    line_.flush();
    return more;
}

void Rtl8139::send() {
    sender_.run([this](TransmitBatch& batch) { return fetch(batch); });
}

size_t Rtl8139::receive(std::span<const NetworkFrame> frames) {
    size_t taken = 0;
    {
        MutexLock lock(mutex_);
        while (taken < frames.size() && chip_.receive(frames[taken], function_.dma())) ++taken;
        if (taken < frames.size()) {
            starved_ = true;
            retry_ = clock_.now_ns() + kRetryNs;
        }
        update();
    }
    line_.flush();
    return taken;
}

void Rtl8139::link_changed(bool up) {
    {
        MutexLock lock(mutex_);
        chip_.set_link(up);
        update();
    }
    line_.flush();
}

void Rtl8139::reset() {
    bool wake_backend;
    {
        MutexLock lock(mutex_);
        chip_.reset();
        chip_.set_link(backend_.link_up());
        retry_ = Rtl8139Cplus::kNever;
        update();
        wake_backend = std::exchange(starved_, false);
    }
    line_.flush();
    sender_.drop();
    function_.reset();
    if (wake_backend) backend_.receive_ready();
}

}  // namespace mynah
