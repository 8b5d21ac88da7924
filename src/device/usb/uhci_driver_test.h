#pragma once

// The guest's driver of a UHCI controller, for tests: one queue that every frame leads to.
// [UHCI 1.1 3]

#include <algorithm>
#include <bit>
#include <vector>

#include "bus/io_handler.h"
#include "device/usb/uhci_registers.h"
#include "device/usb/usb_board_test.h"
#include "device/usb/usb_guest_test.h"

namespace mynah::testing {

class UhciDriver final : public UsbPipes {
  public:
    // Uses a mebibyte of memory from `place` on.
    UhciDriver(IoHandler& registers, UsbBoard& board, uint64_t place)
        : registers_(registers), board_(board), place_(place) {}

    uint16_t read(uint32_t offset) { return static_cast<uint16_t>(registers_.read(offset, 2)); }
    void write(uint32_t offset, uint16_t value) { registers_.write(offset, 2, value); }

    void start() {
        using namespace uhci;
        write(kUsbCommand, kHostReset);
        EXPECT_EQ(read(kUsbCommand), 0);
        EXPECT_EQ(read(kUsbStatus) & kHalted, kHalted);
        for (unsigned i = 0; i < 1024; ++i)
            store(frames() + 4 * i, static_cast<uint32_t>(queue()) | kQueue);
        // The queue leads back to itself, as for bandwidth reclamation.
        store(queue(), static_cast<uint32_t>(queue()) | kQueue);
        store(queue() + 4, kTerminate);
        registers_.write(kFrameListBase, 4, frames());
        write(kInterruptEnable, 0xf);
        write(kUsbCommand, kRun);
        EXPECT_EQ(read(kUsbStatus) & kHalted, 0);
    }
    // Resets and enables a port and gives the device in it an address; false: nobody there.
    bool address_device(unsigned port, uint8_t address) {
        using namespace uhci;
        const uint32_t at = kPorts + 2 * port;
        const uint16_t status = read(at);
        if ((status & kConnected) == 0) return false;
        low_speed_ = (status & kLowSpeed) != 0;
        write(at, kPortReset);
        board_.clock.advance(50'000'000);
        write(at, 0);
        write(at, kPortEnabled | kConnectChange | kEnableChange);
        EXPECT_NE(read(at) & kPortEnabled, 0);
        address_ = 0;
        if (!control({0, usb::kSetAddress, address, 0, 0}).ok()) return false;
        address_ = address;
        return true;
    }

    GuestReply control(const usb::Setup& setup, const Bytes& out = {}) override {
        const bool in = (setup.request_type & usb::kRequestIn) != 0;
        EXPECT_TRUE(board_.memory->store(GuestPhys(buffer()), setup));
        EXPECT_TRUE(board_.memory->write(GuestPhys(buffer() + 64), std::as_bytes(std::span(out))));
        begin(0);
        add(uhci::kPidSetup, buffer(), 8);
        if (setup.length > 0) {
            add_all(in ? uhci::kPidIn : uhci::kPidOut, buffer() + 64, setup.length, packet(0));
        }
        GuestReply reply = run(in && setup.length > 0, buffer() + 64, 1);
        if (!reply.ok()) return reply;
        begin(0);
        add(in && setup.length > 0 ? uhci::kPidOut : uhci::kPidIn, buffer(), 0);
        const GuestReply status = run(false, 0, 0);
        reply.status = status.status;
        return reply;
    }
    GuestReply in(uint8_t endpoint, uint32_t size) override {
        begin(endpoint & 15);
        add_all(uhci::kPidIn, buffer(), size, packet(endpoint));
        return run(true, buffer(), 0);
    }
    GuestReply out(uint8_t endpoint, const Bytes& data) override {
        EXPECT_TRUE(board_.memory->write(GuestPhys(buffer()), std::as_bytes(std::span(data))));
        begin(endpoint & 15);
        add_all(uhci::kPidOut, buffer(), static_cast<uint32_t>(data.size()), packet(endpoint));
        return run(false, 0, 0);
    }
    void open(const Bytes& configuration) override { endpoints_ = endpoints_of(configuration); }
    void clear_halt(uint8_t) override {}

    // How long a transfer may take before it counts as pending.
    uint64_t patience_ns = 50'000'000;

  private:
    uint64_t frames() const { return place_; }
    uint64_t queue() const { return place_ + 0x1000; }
    uint64_t descriptors() const { return place_ + 0x2000; }
    uint64_t buffer() const { return place_ + 0x20000; }
    void store(uint64_t at, uint32_t value) {
        EXPECT_TRUE(board_.memory->store(GuestPhys(at), value));
    }
    uint32_t packet(uint8_t endpoint) const {
        for (const GuestEndpoint& each : endpoints_) {
            if (each.address == endpoint) return each.packet;
        }
        return low_speed_ ? 8 : 64;
    }
    void begin(uint8_t endpoint) {
        endpoint_ = endpoint;
        count_ = 0;
    }
    void add(uint32_t pid, uint64_t at, uint32_t size) {
        using namespace uhci;
        TransferDescriptor td{};
        const uint64_t place = descriptors() + 16 * count_;
        td.link = kTerminate;
        td.control = ErrorCount::with(kActive | (pid == kPidIn ? kShortDetect : 0), 3);
        td.token =
            TokenPid::with(TokenAddress::with(TokenEndpoint::with(0, endpoint_), address_), pid);
        td.token = TokenLength::with(td.token, (size - 1) & 0x7ff);
        td.buffer = static_cast<uint32_t>(at);
        if (count_ > 0) {
            store(place - 16, static_cast<uint32_t>(place) | kDepthFirst);
        }
        EXPECT_TRUE(board_.memory->store(GuestPhys(place), td));
        ++count_;
    }
    void add_all(uint32_t pid, uint64_t at, uint32_t size, uint32_t packet) {
        for (uint32_t done = 0; done < size; done += packet) {
            add(pid, at + done, std::min(packet, size - done));
        }
    }
    uint32_t control_of(unsigned i) {
        return board_.memory->load<uint32_t>(GuestPhys(descriptors() + 16 * i + 4)).value();
    }
    // skip: descriptors at the front that carry no data of interest.
    GuestReply run(bool in, uint64_t at, unsigned skip) {
        using namespace uhci;
        store(descriptors() + 16 * (count_ - 1) + 4, control_of(count_ - 1) | kOnCompletion);
        store(queue() + 4, static_cast<uint32_t>(descriptors()));
        GuestReply reply;
        for (uint64_t waited = 0; waited < patience_ns; waited += 1'000'000) {
            board_.clock.advance(1'000'000);
            if (over()) break;
        }
        store(queue() + 4, kTerminate);
        uint32_t received = 0;
        for (unsigned i = 0; i < count_; ++i) {
            const uint32_t control = control_of(i);
            if ((control & kActive) != 0) reply.status = GuestStatus::kPending;
            if ((control & (kTimeout | kBabble | kBufferError)) != 0) {
                reply.status = GuestStatus::kError;
                break;
            }
            if ((control & kStalled) != 0) reply.status = GuestStatus::kStall;
            if ((control & (kStalled | kActive)) != 0) break;
            const uint32_t length = (ActualLength::get(control) + 1) & 0x7ff;
            if (i >= skip) received += length;
            if (in && i >= skip && length < packet(endpoint_ | (endpoint_ != 0 ? 0x80 : 0))) break;
        }
        write(kUsbStatus, 0x1f);
        if (!in) return reply;
        reply.data.resize(received);
        EXPECT_TRUE(
            board_.memory->read(GuestPhys(at), std::as_writable_bytes(std::span(reply.data))));
        return reply;
    }
    bool over() { return (read(uhci::kUsbStatus) & 0x1f) != 0; }

    IoHandler& registers_;
    UsbBoard& board_;
    uint64_t place_;
    bool low_speed_ = false;
    uint8_t address_ = 0, endpoint_ = 0;
    unsigned count_ = 0;
    std::vector<GuestEndpoint> endpoints_;
};

}  // namespace mynah::testing
