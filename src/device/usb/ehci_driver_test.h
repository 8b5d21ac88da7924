#pragma once

// The guest's driver of an EHCI controller, for tests: a list head, and one queue behind it that
// serves whatever endpoint it is set to. [EHCI 1.0 4.8]

#include <algorithm>
#include <vector>

#include "bus/io_handler.h"
#include "device/usb/ehci_registers.h"
#include "device/usb/usb_board_test.h"
#include "device/usb/usb_guest_test.h"

namespace mynah::testing {

class EhciDriver final : public UsbPipes {
  public:
    // Uses a mebibyte of memory from `place` on.
    EhciDriver(IoHandler& registers, UsbBoard& board, uint64_t place)
        : registers_(registers), board_(board), place_(place) {}

    uint32_t read(uint32_t offset) {
        return static_cast<uint32_t>(registers_.read(ehci::kOperational + offset, 4));
    }
    void write(uint32_t offset, uint32_t value) {
        registers_.write(ehci::kOperational + offset, 4, value);
    }
    uint32_t port(unsigned number) { return read(ehci::kPorts + 4 * number); }
    void write_port(unsigned number, uint32_t value) { write(ehci::kPorts + 4 * number, value); }

    void start() {
        using namespace ehci;
        write(kUsbCommand, kHostReset);
        EXPECT_EQ(read(kUsbStatus) & kHalted, kHalted);
        QueueHead head{};
        head.horizontal = static_cast<uint32_t>(queue()) | LinkType::with(0, kQueueHead);
        head.characteristics = kReclamationHead;
        head.overlay.next = head.overlay.alternate = kTerminate;
        head.overlay.token = kQueueHalted;
        EXPECT_TRUE(board_.memory->store(GuestPhys(list_head()), head));
        head.horizontal = static_cast<uint32_t>(list_head()) | LinkType::with(0, kQueueHead);
        head.characteristics = 0;
        EXPECT_TRUE(board_.memory->store(GuestPhys(queue()), head));
        for (unsigned i = 0; i < 1024; ++i) {
            EXPECT_TRUE(board_.memory->store(GuestPhys(frames() + 4 * i), kTerminate));
        }
        write(kAsyncAddress, static_cast<uint32_t>(list_head()));
        write(kPeriodicBase, static_cast<uint32_t>(frames()));
        write(kInterruptEnable, 0x3f);
        write(kUsbCommand, kRun | kAsyncEnable | kPeriodicEnable);
        EXPECT_EQ(read(kUsbStatus) & (kHalted | kAsyncStatus), kAsyncStatus);
        write(kConfigFlag, 1);
    }
    // True: the device has high speed and an address. Else the port goes to its companion.
    bool address_device(unsigned number, uint8_t address) {
        using namespace ehci;
        if ((port(number) & kConnected) == 0) return false;
        write_port(number, kPortPower | kPortReset | kConnectChange);
        board_.clock.advance(50'000'000);
        write_port(number, kPortPower);
        if ((port(number) & kPortEnabled) == 0) {
            write_port(number, kPortPower | kPortOwner);
            return false;
        }
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
        add(ehci::kPidSetup, buffer(), 8);
        if (setup.length > 0) add(in ? ehci::kPidIn : ehci::kPidOut, buffer() + 64, setup.length);
        const unsigned data = count_ - 1;
        // After a short packet, too, the status stage follows.
        add(in && setup.length > 0 ? ehci::kPidOut : ehci::kPidIn, buffer(), 0);
        if (setup.length > 0) set_alternate(data, data + 1);
        return run(in && setup.length > 0, buffer() + 64, setup.length, data);
    }
    GuestReply in(uint8_t endpoint, uint32_t size) override {
        begin(endpoint & 15);
        add_all(ehci::kPidIn, size);
        return run(true, buffer(), size, 0);
    }
    GuestReply out(uint8_t endpoint, const Bytes& data) override {
        EXPECT_TRUE(board_.memory->write(GuestPhys(buffer()), std::as_bytes(std::span(data))));
        begin(endpoint & 15);
        add_all(ehci::kPidOut, static_cast<uint32_t>(data.size()));
        return run(false, 0, 0, 0);
    }
    void open(const Bytes&) override {}
    void clear_halt(uint8_t) override {}

    uint64_t patience_ns = 50'000'000;

  private:
    uint64_t frames() const { return place_; }
    uint64_t list_head() const { return place_ + 0x1000; }
    uint64_t queue() const { return place_ + 0x1080; }
    uint64_t transfers() const { return place_ + 0x2000; }
    uint64_t buffer() const { return place_ + 0x20000; }
    uint64_t transfer(unsigned i) const { return transfers() + 32 * i; }

    void begin(uint8_t endpoint) {
        endpoint_ = endpoint;
        count_ = 0;
    }
    void add(uint32_t pid, uint64_t at, uint32_t size) {
        using namespace ehci;
        Transfer td{};
        td.next = td.alternate = kTerminate;
        td.token = TokenErrors::with(TokenPid::with(kActive, pid), 3);
        td.token = TokenBytes::with(td.token, size);
        td.buffers[0] = static_cast<uint32_t>(at);
        for (uint32_t i = 1; i < kPages; ++i) {
            td.buffers[i] = static_cast<uint32_t>((at & ~uint64_t{0xfff}) + i * 4096);
        }
        if (count_ > 0) {
            EXPECT_TRUE(board_.memory->store(GuestPhys(transfer(count_ - 1)),
                                             static_cast<uint32_t>(transfer(count_))));
        }
        EXPECT_TRUE(board_.memory->store(GuestPhys(transfer(count_)), td));
        ++count_;
    }
    void set_alternate(unsigned of, unsigned to) {
        EXPECT_TRUE(
            board_.memory->store(GuestPhys(transfer(of) + 4), static_cast<uint32_t>(transfer(to))));
    }
    void add_all(uint32_t pid, uint32_t size) {
        constexpr uint32_t kPiece = 16384;
        for (uint32_t done = 0; done < size; done += kPiece) {
            add(pid, buffer() + done, std::min(kPiece, size - done));
        }
    }
    uint32_t token(unsigned i) {
        return board_.memory->load<uint32_t>(GuestPhys(transfer(i) + 8)).value();
    }
    GuestReply run(bool in, uint64_t at, uint32_t size, unsigned first_data) {
        using namespace ehci;
        const GuestPhys last(transfer(count_ - 1) + 8);
        EXPECT_TRUE(board_.memory->store(last, token(count_ - 1) | kOnCompletion));
        QueueHead head = board_.memory->load<QueueHead>(GuestPhys(queue())).value();
        head.characteristics = QueueAddress::with(QueueEndpoint::with(0, endpoint_), address_);
        head.characteristics = QueueSpeed::with(head.characteristics, kHighSpeed);
        head.capabilities = 1u << 30;
        head.current = 0;
        head.overlay = {};
        head.overlay.next = static_cast<uint32_t>(transfer(0));
        head.overlay.alternate = kTerminate;
        EXPECT_TRUE(board_.memory->store(GuestPhys(queue()), head));
        write(kUsbStatus, 0x3f);
        for (uint64_t waited = 0; waited < patience_ns; waited += 1'000'000) {
            board_.clock.advance(1'000'000);
            if ((read(kUsbStatus) & (kInterrupt | kErrorInterrupt | kSystemError)) == 0) continue;
            if ((token(count_ - 1) & kActive) == 0 || !in || count_ == 1) break;
            if ((read(kUsbStatus) & kErrorInterrupt) != 0) break;
        }
        GuestReply reply;
        uint32_t received = size;
        bool was_short = false;
        for (unsigned i = 0; i < count_; ++i) {
            const uint32_t state = token(i);
            const bool data = in && i >= first_data && TokenPid::get(state) == kPidIn;
            if (data) received -= TokenBytes::get(state);
            if (was_short && (state & kActive) != 0) continue;
            if (data && TokenBytes::get(state) != 0) was_short = true;
            if ((state & (kTransactionError | kBabble)) != 0) {
                reply.status = GuestStatus::kError;
            } else if ((state & kQueueHalted) != 0) {
                reply.status = GuestStatus::kStall;
            } else if ((state & kActive) != 0 && reply.ok()) {
                reply.status = GuestStatus::kPending;
            }
        }
        // Take the queue's transfers back.
        const uint32_t halted = kQueueHalted;
        EXPECT_TRUE(board_.memory->store(GuestPhys(queue() + kOverlayAt + 8), halted));
        write(kUsbStatus, 0x3f);
        if (!in) return reply;
        reply.data.resize(received);
        EXPECT_TRUE(
            board_.memory->read(GuestPhys(at), std::as_writable_bytes(std::span(reply.data))));
        return reply;
    }

    IoHandler& registers_;
    UsbBoard& board_;
    uint64_t place_;
    uint8_t address_ = 0, endpoint_ = 0;
    unsigned count_ = 0;
};

}  // namespace mynah::testing
