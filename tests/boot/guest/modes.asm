; A boot sector of the DOS kind: real mode, BIOS calls, video memory, a serial port.
; It shows text, waits for a byte on COM1, shows a picture in mode 13h, waits again, and resets.
; Each time it tells by COM1 what it read back from the screen.
bits 16
org 0x7c00

COM1    equ 0x3f8
RED_ROW equ 20
TEXT_ATTRIBUTE equ 0x2e         ; yellow on green

start:
    jmp 0:main
main:
    xor ax, ax
    mov ds, ax
    mov ss, ax
    mov sp, 0x7c00
    cld

    mov ax, 0x0003              ; 80 by 25 characters
    int 0x10
    mov ax, 0xb800
    mov es, ax
    mov di, RED_ROW * 160       ; a row of full blocks in red
    mov cx, 80
    mov ax, 0x04db
    rep stosw
    mov ax, 0x1301              ; write string, cursor follows
    mov bx, TEXT_ATTRIBUTE
    mov cx, greeting_end - greeting
    mov dx, 0x0a1e              ; row 10, column 30
    push es
    push ds
    pop es
    mov bp, greeting
    int 0x10
    pop es
    mov si, said_text
    call say
    mov cx, greeting_end - greeting
    mov si, (10 * 80 + 30) * 2
read_back:
    mov al, [es:si]
    add si, 2
    call put
    loop read_back
    mov ah, 0x0f                ; which mode is it?
    int 0x10
    add al, '0'
    call put
    call newline
    call get

    mov ax, 0x0013              ; 320 by 200 in 256 colours
    int 0x10
    mov dx, 0x3c8               ; a palette of our own: colour n is (2n, 63 - 2n, n)
    mov al, 0
    out dx, al
    inc dx
    xor bl, bl
palette:
    mov al, bl
    shl al, 1
    out dx, al
    neg al
    add al, 63
    out dx, al
    mov al, bl
    out dx, al
    inc bl
    cmp bl, 32
    jb palette
    mov ax, 0xa000
    mov es, ax
    xor di, di
draw:                           ; 16 columns of 20 pixels; the lower half 16 colours on
    mov ax, di
    xor dx, dx
    mov cx, 320
    div cx                      ; ax row, dx column
    mov bx, ax
    mov ax, dx
    xor dx, dx
    mov cx, 20
    div cx
    cmp bx, 100
    jb upper
    add al, 16
upper:
    stosb
    cmp di, 64000
    jb draw
    mov si, said_graphics
    call say
    mov cx, 250                 ; through the BIOS: column 250, row 150 is colour 28
    mov dx, 150
    mov ax, 0x0d00
    xor bx, bx
    int 0x10
    add al, 'A' - 28
    call put
    mov ah, 0x0f
    int 0x10
    add al, 'A' - 0x13
    call put
    call newline
    call get
    mov dx, 0xcf9               ; a hard reset
    mov al, 0x06
    out dx, al
    hlt

say:
    lodsb
    test al, al
    jz done
    call put
    jmp say
newline:
    mov al, 13
    call put
    mov al, 10
put:
    push dx
    push ax
    mov dx, COM1 + 5
full:
    in al, dx
    test al, 0x20
    jz full
    pop ax
    mov dx, COM1
    out dx, al
    pop dx
done:
    ret
get:
    mov dx, COM1 + 5
empty:
    in al, dx
    test al, 1
    jz empty
    mov dx, COM1
    in al, dx
    ret

greeting: db "Hello from 1981"
greeting_end:
said_text: db "text: ", 0
said_graphics: db "graphics: ", 0
    times 510 - ($ - $$) db 0
    dw 0xaa55
